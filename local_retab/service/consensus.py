"""POST /v1/consensus: several objects that describe the same thing, reconciled. No model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from local_retab.extraction.consensus import reconcile
from local_retab.schema import load_schema
from local_retab.wire import Reconciliation

if TYPE_CHECKING:
    from local_retab.settings import Settings
    from local_retab.wire import ConsensusRequest


def reconcile_inputs(request: ConsensusRequest, settings: Settings) -> Reconciliation:
    """The reconciled object, with the agreement at every leaf by its dotted path. Raises SchemaError."""
    schema = load_schema(request.json_schema, settings=settings) if request.json_schema else None
    found = reconcile(request.inputs, schema)
    return Reconciliation(
        consensus=cast("dict[str, Any]", found.value),
        likelihoods={field.path: field.likelihood for field in found.fields},
        fields=[
            {
                "path": field.path,
                "value": field.value,
                "likelihood": field.likelihood,
                "supporting_input_count": field.supporting,
                "total_input_count": field.total,
            }
            for field in found.fields
        ],
        # The hosted clients need it, also where it was not asked for.
        alignment={
            "aligned_inputs": list(found.aligned) if request.include_alignment else None,
            "path_alignments": [
                {"canonical_path": path.canonical_path, "source_paths": list(path.source_paths)} for path in found.paths
            ]
            if request.include_alignment
            else None,
            "reference_index": found.reference_index,
        },
    )
