"""The commands `demo` and `simulate`. They need the development packages."""
