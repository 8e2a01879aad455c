# tests of validator/jobs
JOBS_TEST_LIBS = libjob.a $(STORE_TEST_LIBS)

check_PROGRAMS += tests/jobs/test_gc_filter
tests_jobs_test_gc_filter_SOURCES = tests/jobs/test_gc_filter.c
tests_jobs_test_gc_filter_CPPFLAGS = $(TEST_CPPFLAGS)
tests_jobs_test_gc_filter_LDADD = $(JOBS_TEST_LIBS)

check_PROGRAMS += tests/jobs/test_verify_seen
tests_jobs_test_verify_seen_SOURCES = tests/jobs/test_verify_seen.c
tests_jobs_test_verify_seen_CPPFLAGS = $(TEST_CPPFLAGS)
tests_jobs_test_verify_seen_LDADD = $(JOBS_TEST_LIBS)

check_PROGRAMS += tests/jobs/test_gc_mark
tests_jobs_test_gc_mark_SOURCES = tests/jobs/test_gc_mark.c $(STORE_TEST_FIXTURE)
tests_jobs_test_gc_mark_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_jobs_test_gc_mark_LDADD = $(JOBS_TEST_LIBS)

check_PROGRAMS += tests/jobs/test_gc_sweep
tests_jobs_test_gc_sweep_SOURCES = tests/jobs/test_gc_sweep.c $(STORE_TEST_FIXTURE)
tests_jobs_test_gc_sweep_CPPFLAGS = $(STORE_TEST_CPPFLAGS)
tests_jobs_test_gc_sweep_LDADD = $(JOBS_TEST_LIBS)
