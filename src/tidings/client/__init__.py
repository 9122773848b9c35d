"""The async Matrix client library: plain HTTP to any homeserver; never the server's own code."""
