# bench/: benchmarks; docs/performance.md says how to run them.
noinst_PROGRAMS += bench/bare_ingest bench/bare_list bench/bare_stat \
	bench/bare_tls bench/bare_verify
BARE = bench/bare.c bench/bare.h
bench_bare_ingest_SOURCES = bench/bare_ingest.c $(BARE)
bench_bare_ingest_CPPFLAGS = $(AM_CPPFLAGS) $(SSL_CFLAGS) $(ISAL_CFLAGS)
bench_bare_ingest_LDADD = $(FORMAT_LIBS) $(COMMON_LIBS) $(SSL_LIBS) \
	$(CRYPTO_LIBS)
bench_bare_list_SOURCES = bench/bare_list.c $(BARE)
bench_bare_list_LDADD = $(FORMAT_LIBS) $(COMMON_LIBS)
bench_bare_stat_SOURCES = bench/bare_stat.c $(BARE)
bench_bare_stat_LDADD = $(FORMAT_LIBS) $(COMMON_LIBS)
bench_bare_tls_SOURCES = bench/bare_tls.c $(BARE)
bench_bare_tls_CPPFLAGS = $(AM_CPPFLAGS) $(SSL_CFLAGS)
bench_bare_tls_LDADD = $(FORMAT_LIBS) $(COMMON_LIBS) $(SSL_LIBS) \
	$(CRYPTO_LIBS)
bench_bare_verify_SOURCES = bench/bare_verify.c $(BARE)
bench_bare_verify_LDADD = $(FORMAT_LIBS) $(COMMON_LIBS) $(CRYPTO_LIBS)
dist_noinst_SCRIPTS += bench/ingest bench/reuse bench/finish bench/gc \
	bench/sessions bench/verify
EXTRA_DIST += bench/benchlib.py
