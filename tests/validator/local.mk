# tests of validator
check_PROGRAMS += tests/validator/test_judge
tests_validator_test_judge_SOURCES = tests/validator/test_judge.c
tests_validator_test_judge_CPPFLAGS = $(TEST_CPPFLAGS)
tests_validator_test_judge_LDADD = libchecker.a $(FORMAT_LIBS) \
	$(COMMON_LIBS) $(TEST_LIBS)

VALIDATOR_TEST_LIBS = $(VALIDATOR_LIBS) $(TEST_LIBS)

check_PROGRAMS += tests/validator/test_reuse
tests_validator_test_reuse_SOURCES = tests/validator/test_reuse.c
tests_validator_test_reuse_CPPFLAGS = $(TEST_CPPFLAGS)
tests_validator_test_reuse_LDADD = $(VALIDATOR_TEST_LIBS)

check_PROGRAMS += tests/validator/test_task
tests_validator_test_task_SOURCES = tests/validator/test_task.c
tests_validator_test_task_CPPFLAGS = $(TEST_CPPFLAGS)
tests_validator_test_task_LDADD = $(VALIDATOR_TEST_LIBS)

# Starts the real program, which make check builds before.
check_PROGRAMS += tests/validator/test_checker
tests_validator_test_checker_SOURCES = tests/validator/test_checker.c
tests_validator_test_checker_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_validator_test_checker_LDADD = $(VALIDATOR_TEST_LIBS)

check_PROGRAMS += tests/validator/test_peer
tests_validator_test_peer_SOURCES = tests/validator/test_peer.c
tests_validator_test_peer_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_validator_test_peer_LDADD = $(VALIDATOR_TEST_LIBS)

check_PROGRAMS += tests/validator/test_call
tests_validator_test_call_SOURCES = tests/validator/test_call.c
tests_validator_test_call_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_validator_test_call_LDADD = $(VALIDATOR_TEST_LIBS)

check_PROGRAMS += tests/validator/test_validator_conf
tests_validator_test_validator_conf_SOURCES = tests/validator/test_validator_conf.c
tests_validator_test_validator_conf_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_validator_test_validator_conf_LDADD = $(VALIDATOR_TEST_LIBS)

check_PROGRAMS += tests/validator/test_schedule
tests_validator_test_schedule_SOURCES = tests/validator/test_schedule.c
tests_validator_test_schedule_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_validator_test_schedule_LDADD = $(VALIDATOR_TEST_LIBS)

check_PROGRAMS += tests/validator/test_verify_new
tests_validator_test_verify_new_SOURCES = tests/validator/test_verify_new.c
tests_validator_test_verify_new_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_validator_test_verify_new_LDADD = $(VALIDATOR_TEST_LIBS)
