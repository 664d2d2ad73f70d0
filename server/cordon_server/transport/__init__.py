"""The coordinator's Flower side: SuperLink, control calls, pinned ServerApp, exchange of messages."""
