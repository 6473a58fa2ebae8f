"""The small trained vision model: pages that a program draws, the network, its training, export and measurement."""
