# Fuzz targets: fuzz_NAME.c, each with a corpus that make check replays with
# the ordinary compiler (replay_NAME), and a libFuzzer program (fuzz_NAME) under
# ./configure --enable-fuzzers CC=clang.
FUZZ_FORMAT_LIBS = $(FORMAT_LIBS) $(COMMON_LIBS)
FUZZ_SERVER_LIBS = $(SERVER_LIBS) $(EVENT_LIBS)
LIBFUZZER_FLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
EXTRA_DIST += tests/fuzz/corpus

check_PROGRAMS += \
	tests/fuzz/replay_blob \
	tests/fuzz/replay_catalog \
	tests/fuzz/replay_conf \
	tests/fuzz/replay_msg \
	tests/fuzz/replay_grant \
	tests/fuzz/replay_h2 \
	tests/fuzz/replay_http1 \
	tests/fuzz/replay_index \
	tests/fuzz/replay_keyfile \
	tests/fuzz/replay_manifest \
	tests/fuzz/replay_names \
	tests/fuzz/replay_pxar \
	tests/fuzz/replay_request \
	tests/fuzz/replay_ticket \
	tests/fuzz/replay_upid

tests_fuzz_replay_blob_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_blob.c
tests_fuzz_replay_blob_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_catalog_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_catalog.c
tests_fuzz_replay_catalog_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_grant_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_grant.c
tests_fuzz_replay_grant_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_index_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_index.c
tests_fuzz_replay_index_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_keyfile_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_keyfile.c
tests_fuzz_replay_keyfile_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_manifest_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_manifest.c
tests_fuzz_replay_manifest_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_names_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_names.c
tests_fuzz_replay_names_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_pxar_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_pxar.c
tests_fuzz_replay_pxar_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_ticket_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_ticket.c
tests_fuzz_replay_ticket_LDADD = $(AUTH_LIBS)
tests_fuzz_replay_upid_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_upid.c
tests_fuzz_replay_upid_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_h2_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_h2.c
tests_fuzz_replay_h2_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_replay_http1_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_http1.c
tests_fuzz_replay_http1_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_replay_request_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_request.c
tests_fuzz_replay_request_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_replay_conf_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_conf.c
tests_fuzz_replay_conf_LDADD = libserverconf.a $(FUZZ_FORMAT_LIBS)
tests_fuzz_replay_msg_SOURCES = tests/fuzz/replay.c tests/fuzz/fuzz.h tests/fuzz/fuzz_msg.c
tests_fuzz_replay_msg_LDADD = $(FUZZ_FORMAT_LIBS)

if FUZZERS
noinst_PROGRAMS += \
	tests/fuzz/fuzz_blob \
	tests/fuzz/fuzz_catalog \
	tests/fuzz/fuzz_conf \
	tests/fuzz/fuzz_msg \
	tests/fuzz/fuzz_grant \
	tests/fuzz/fuzz_h2 \
	tests/fuzz/fuzz_http1 \
	tests/fuzz/fuzz_index \
	tests/fuzz/fuzz_keyfile \
	tests/fuzz/fuzz_manifest \
	tests/fuzz/fuzz_names \
	tests/fuzz/fuzz_pxar \
	tests/fuzz/fuzz_request \
	tests/fuzz/fuzz_ticket \
	tests/fuzz/fuzz_upid
tests_fuzz_fuzz_blob_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_blob.c
tests_fuzz_fuzz_blob_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_blob_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_catalog_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_catalog.c
tests_fuzz_fuzz_catalog_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_catalog_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_grant_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_grant.c
tests_fuzz_fuzz_grant_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_grant_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_index_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_index.c
tests_fuzz_fuzz_index_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_index_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_keyfile_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_keyfile.c
tests_fuzz_fuzz_keyfile_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_keyfile_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_manifest_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_manifest.c
tests_fuzz_fuzz_manifest_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_manifest_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_names_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_names.c
tests_fuzz_fuzz_names_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_names_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_pxar_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_pxar.c
tests_fuzz_fuzz_pxar_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_pxar_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_ticket_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_ticket.c
tests_fuzz_fuzz_ticket_LDADD = $(AUTH_LIBS)
tests_fuzz_fuzz_ticket_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_upid_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_upid.c
tests_fuzz_fuzz_upid_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_upid_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_h2_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_h2.c
tests_fuzz_fuzz_h2_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_fuzz_h2_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_http1_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_http1.c
tests_fuzz_fuzz_http1_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_fuzz_http1_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_request_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_request.c
tests_fuzz_fuzz_request_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_fuzz_request_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_conf.c
tests_fuzz_fuzz_conf_LDADD = libserverconf.a $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_conf_LDFLAGS = $(LIBFUZZER_FLAGS)
tests_fuzz_fuzz_msg_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fuzz_msg.c
tests_fuzz_fuzz_msg_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_msg_LDFLAGS = $(LIBFUZZER_FLAGS)
endif

# Each target for FUZZ_SECONDS, in a build of its own (clang); what is found
# stays in fuzz/NAME-crash-*, and belongs into the corpus once it is mended.
FUZZ_SECONDS = 60
FUZZ_NAMES = blob catalog conf grant h2 http1 index keyfile \
	manifest msg names pxar request ticket upid
fuzz:
	$(MKDIR_P) fuzz/corpus
	cd fuzz && { test -f Makefile || $(abs_top_srcdir)/configure --quiet \
	    --enable-fuzzers --enable-sanitizers CC=clang; }
	@for t in $(FUZZ_NAMES); do \
	    $(MAKE) -s -C fuzz tests/fuzz/fuzz_$$t && \
	    $(MKDIR_P) fuzz/corpus/$$t && \
	    fuzz/tests/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) \
		-artifact_prefix=fuzz/$$t- fuzz/corpus/$$t \
		$(srcdir)/tests/fuzz/corpus/$$t || exit 1; \
	done
.PHONY: fuzz
