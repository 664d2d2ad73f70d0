"""The vault's narrow gRPC service: wire definition, generated stubs, chunking."""
