"""Many documents under one schema: what is asked for, what is done, and the run that gets from one to the other."""

from local_retab.batch.cluster import run_on_ray
from local_retab.batch.journal import Journal
from local_retab.batch.plan import Plan
from local_retab.batch.record import Record
from local_retab.batch.run import run_batch

__all__ = ["Journal", "Plan", "Record", "run_batch", "run_on_ray"]
