# docs/: for operators and developers.
EXTRA_DIST += docs/accounts.md docs/architecture.md docs/compatibility.md \
	docs/configuration.md docs/log.md docs/operations.md \
	docs/performance.md docs/reliability.md docs/security.md

# Manual pages.  Commands and options come from the tables of the programs.
MAN_IN = docs/man/holdfast.1.in docs/man/holdfast-admin.8.in \
	docs/man/holdfast-auth.8.in docs/man/holdfast-checker.8.in \
	docs/man/holdfast-hasher.8.in docs/man/holdfast-job.8.in \
	docs/man/holdfast-server.8.in docs/man/holdfast-server.conf.5.in \
	docs/man/holdfast-validator.8.in docs/man/holdfast-validator.conf.5.in \
	docs/man/holdfast-worker.8.in
MAN_PAGES = $(MAN_IN:.in=)
nodist_man_MANS = $(MAN_PAGES)
EXTRA_DIST += $(MAN_IN)
CLEANFILES += $(MAN_PAGES)

noinst_PROGRAMS += docs/man/conf_doc
docs_man_conf_doc_SOURCES = docs/man/conf_doc.c
docs_man_conf_doc_LDADD = libserverconf.a libvalidator.a libformat.a \
	$(COMMON_LIBS)

$(MAN_PAGES): $(MAN_IN) holdfast$(EXEEXT) holdfast-admin$(EXEEXT) \
    docs/man/conf_doc$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && in=$(srcdir)/$@.in && { \
	    sed '/^@GENERATED@/,$$d' $$in && \
	    case $@ in \
	    */holdfast.1) ./holdfast$(EXEEXT) --print man ;; \
	    */holdfast-admin.8) ./holdfast-admin$(EXEEXT) --print man ;; \
	    */holdfast-server.conf.5) docs/man/conf_doc$(EXEEXT) server ;; \
	    */holdfast-validator.conf.5) \
		docs/man/conf_doc$(EXEEXT) validator ;; \
	    esac && \
	    sed '1,/^@GENERATED@/d' $$in; \
	} | sed -e 's,@VERSION\@,$(VERSION),' \
	    -e 's,@sysconfdir\@,$(sysconfdir),' >$@.tmp && mv $@.tmp $@

# Completion, from the same tables.
COMPLETIONS = docs/completion/holdfast docs/completion/holdfast-admin
ZSH_COMPLETIONS = docs/completion/_holdfast docs/completion/_holdfast-admin
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/vendor-completions
nodist_bashcompletion_DATA = $(COMPLETIONS)
nodist_zshcompletion_DATA = $(ZSH_COMPLETIONS)
CLEANFILES += $(COMPLETIONS) $(ZSH_COMPLETIONS)

$(COMPLETIONS) $(ZSH_COMPLETIONS): holdfast$(EXEEXT) holdfast-admin$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) $(@D) && case $@ in \
	    */_*) shell=zsh ;; \
	    *) shell=bash ;; \
	    esac && case $@ in \
	    *-admin) ./holdfast-admin$(EXEEXT) --print $$shell ;; \
	    *) ./holdfast$(EXEEXT) --print $$shell ;; \
	    esac >$@.tmp && mv $@.tmp $@
