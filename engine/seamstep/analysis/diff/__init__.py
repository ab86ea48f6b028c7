"""What changes from one catalog to another: in the releases, in the ways between them, and for given hosts. Pure."""
