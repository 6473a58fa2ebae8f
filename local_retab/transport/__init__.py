"""Ways to reach a service: over HTTP, and in this process for the official client. The service itself is one too."""
