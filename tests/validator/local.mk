# tests of validator
