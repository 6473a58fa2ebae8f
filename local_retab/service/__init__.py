"""The use cases behind every surface."""

from local_retab.service.extraction_service import ExtractionService
from local_retab.service.runner import ExtractionRun

__all__ = ["ExtractionRun", "ExtractionService"]
