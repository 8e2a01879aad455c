# validator/: the datastores' owner and its checkers; validator/store/ below.
noinst_LIBRARIES += libvalidator.a libchecker.a


libchecker_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libchecker_a_SOURCES = \
	validator/checker_work.c validator/checker_work.h \
	validator/judge.c validator/judge.h


libvalidator_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
libvalidator_a_SOURCES = \
	validator/checker.c validator/checker.h validator/checker_int.h \
	validator/checker_pool.c \
	validator/control.h \
	validator/task.c validator/task.h \
	validator/task_read.c validator/task_read.h \
	validator/validator_conf.c validator/validator_conf.h
