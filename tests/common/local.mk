# tests of common
