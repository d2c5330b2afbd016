"""The C++ benchmark on a device over ssh or adb: its link, its file cache, its state while it runs."""
