# tests of admin
check_PROGRAMS += tests/admin/test_layout
tests_admin_test_layout_SOURCES = tests/admin/test_layout.c
tests_admin_test_layout_CPPFLAGS = $(TEST_CPPFLAGS)
tests_admin_test_layout_LDADD = libadmin.a libformat.a $(COMMON_LIBS) \
	$(TEST_LIBS)
