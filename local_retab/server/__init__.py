"""The hosted API over HTTP, answered by the service of this machine. Needs the extra ``server``."""
