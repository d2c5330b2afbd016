// The version of this library; the same as the Python package's.
#pragma once

#define SKYEDGE_VERSION_MAJOR 0
#define SKYEDGE_VERSION_MINOR 1
#define SKYEDGE_VERSION_PATCH 0
#define SKYEDGE_VERSION "0.1.0"
