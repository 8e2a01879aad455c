# Fuzz targets: fuzz_NAME.c and a corpus, which make check replays with the
# ordinary compiler and with memory that runs out (replay.c).  Under
# ./configure --enable-fuzzers CC=clang the same programs have libFuzzer's main
# function instead: see "fuzz" below.
check_LIBRARIES += tests/fuzz/libreplay.a
tests_fuzz_libreplay_a_SOURCES = tests/fuzz/fuzz.h tests/fuzz/folder.h \
	tests/fuzz/nomem.c tests/fuzz/nomem.h tests/fuzz/replay.c
# It allocates for a sanitizer before that is ready.
tests_fuzz_libreplay_a_CFLAGS = $(AM_CFLAGS) -fno-sanitize=all
if FUZZERS
FUZZ_MAIN =
else
FUZZ_MAIN = tests/fuzz/libreplay.a
endif
FUZZ_FORMAT_LIBS = $(FUZZ_MAIN) $(FORMAT_LIBS) $(COMMON_LIBS)
FUZZ_AUTH_LIBS = $(FUZZ_MAIN) $(AUTH_LIBS)
FUZZ_SERVER_LIBS = $(FUZZ_MAIN) $(SERVER_LIBS) $(EVENT_LIBS)
FUZZ_VALIDATOR_LIBS = $(FUZZ_MAIN) libchecker.a $(VALIDATOR_LIBS)
FUZZ_CLIENT_LIBS = $(FUZZ_MAIN) $(CLIENT_LIBS)
FUZZ_ADMIN_LIBS = $(FUZZ_MAIN) libadmin.a $(FORMAT_LIBS) $(COMMON_LIBS)
EXTRA_DIST += tests/fuzz/corpus

check_PROGRAMS += \
	tests/fuzz/fuzz_accounts \
	tests/fuzz/fuzz_admin \
	tests/fuzz/fuzz_audit \
	tests/fuzz/fuzz_blob \
	tests/fuzz/fuzz_calendar \
	tests/fuzz/fuzz_catalog \
	tests/fuzz/fuzz_client \
	tests/fuzz/fuzz_client_files \
	tests/fuzz/fuzz_command \
	tests/fuzz/fuzz_conf \
	tests/fuzz/fuzz_control \
	tests/fuzz/fuzz_datastores \
	tests/fuzz/fuzz_grant \
	tests/fuzz/fuzz_h2 \
	tests/fuzz/fuzz_http1 \
	tests/fuzz/fuzz_index \
	tests/fuzz/fuzz_json \
	tests/fuzz/fuzz_judge \
	tests/fuzz/fuzz_keyfile \
	tests/fuzz/fuzz_lockdb \
	tests/fuzz/fuzz_manifest \
	tests/fuzz/fuzz_msg \
	tests/fuzz/fuzz_names \
	tests/fuzz/fuzz_owner \
	tests/fuzz/fuzz_packet \
	tests/fuzz/fuzz_pxar \
	tests/fuzz/fuzz_records \
	tests/fuzz/fuzz_request \
	tests/fuzz/fuzz_state \
	tests/fuzz/fuzz_tasks \
	tests/fuzz/fuzz_ticket \
	tests/fuzz/fuzz_upid

tests_fuzz_fuzz_accounts_LDADD = $(FUZZ_AUTH_LIBS)
tests_fuzz_fuzz_admin_LDADD = $(FUZZ_ADMIN_LIBS)
tests_fuzz_fuzz_audit_LDADD = $(FUZZ_VALIDATOR_LIBS)
tests_fuzz_fuzz_blob_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_calendar_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_catalog_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_client_LDADD = $(FUZZ_CLIENT_LIBS)
tests_fuzz_fuzz_client_files_LDADD = $(FUZZ_CLIENT_LIBS)
tests_fuzz_fuzz_command_LDADD = $(FUZZ_VALIDATOR_LIBS)
tests_fuzz_fuzz_conf_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_fuzz_control_LDADD = $(FUZZ_AUTH_LIBS)
tests_fuzz_fuzz_datastores_LDADD = $(FUZZ_VALIDATOR_LIBS)
tests_fuzz_fuzz_grant_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_h2_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_fuzz_http1_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_fuzz_index_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_json_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_judge_LDADD = $(FUZZ_VALIDATOR_LIBS)
tests_fuzz_fuzz_keyfile_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_lockdb_LDADD = $(FUZZ_VALIDATOR_LIBS)
tests_fuzz_fuzz_manifest_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_msg_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_names_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_owner_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_packet_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_pxar_LDADD = $(FUZZ_FORMAT_LIBS)
tests_fuzz_fuzz_records_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_fuzz_request_LDADD = $(FUZZ_SERVER_LIBS)
tests_fuzz_fuzz_state_LDADD = $(FUZZ_VALIDATOR_LIBS)
tests_fuzz_fuzz_tasks_LDADD = $(FUZZ_VALIDATOR_LIBS)
tests_fuzz_fuzz_ticket_LDADD = $(FUZZ_AUTH_LIBS)
tests_fuzz_fuzz_upid_LDADD = $(FUZZ_FORMAT_LIBS)

# Each target for FUZZ_SECONDS, in a build of its own (clang); what is found
# stays in fuzz/NAME-crash-*, and belongs into the corpus once it is mended.
FUZZ_SECONDS = 60
FUZZ_NAMES = accounts admin audit blob calendar catalog client \
	client_files command conf control datastores grant h2 http1 index json judge \
	keyfile lockdb manifest msg names owner packet pxar records request state \
	tasks ticket upid
fuzz:
	$(MKDIR_P) fuzz/corpus
	cd fuzz && { test -f Makefile || $(abs_top_srcdir)/configure --quiet \
	    --enable-fuzzers --enable-sanitizers CC=clang; }
	@for t in $(FUZZ_NAMES); do \
	    $(MAKE) -s -C fuzz tests/fuzz/fuzz_$$t LDFLAGS=-fsanitize=fuzzer && \
	    $(MKDIR_P) fuzz/corpus/$$t && \
	    fuzz/tests/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) \
		-artifact_prefix=fuzz/$$t- fuzz/corpus/$$t \
		$(srcdir)/tests/fuzz/corpus/$$t || exit 1; \
	done
.PHONY: fuzz
