"""The steps' scripts against real git over HTTP, on a plain disk, with a stand-in for kubectl."""
