"""The benchmark image: built by a container engine, kept in a registry, pinned by its digest."""
