"""Programs outside this project that load artifacts: each is run where it installs, or its list of operators is read."""
