"""Tokens in, tokens out: continuous batching of grammar-held generations over llama.cpp. Knows nothing of documents."""
