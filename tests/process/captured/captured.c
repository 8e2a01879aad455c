/*
 * Part of the captured builds of our programs (local.mk): the linker puts
 * __wrap_sandbox_enter() in the place of sandbox_enter().  It first tries each
 * attack in a child that has sealed itself exactly as the program is about to,
 * and says on stderr how each one went; then the program goes on as ever.
 */
#include "config.h"

#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/process/captured/captured.h"
#include "common/err.h"
#include "common/sandbox.h"

int __real_sandbox_enter(enum sandbox_profile profile,
    const struct sandbox_path *paths, size_t npaths, unsigned int flags,
    struct err *e);
int __wrap_sandbox_enter(enum sandbox_profile profile,
    const struct sandbox_path *paths, size_t npaths, unsigned int flags,
    struct err *e);

#define SECONDS_MAX 60
#define NOT_SEALED 99

static char conf[8192];

/* Read at once: later there is no file any more. */
static void __attribute__((constructor)) read_known(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	FILE *f;
	size_t len;

	if (n <= 0)
		return;
	path[n] = '\0';
	strcpy(strrchr(path, '/') + 1, "captured.conf");
	if ((f = fopen(path, "re")) == NULL)
		return;
	len = fread(conf, 1, sizeof(conf) - 1, f);
	conf[len] = '\0';
	fclose(f);
}

const char *
known(const char *name)
{
	static char value[4096];
	size_t len = strlen(name);
	const char *line = conf;

	for (; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == ' ') {
			snprintf(value, sizeof(value), "%.*s",
			    (int)strcspn(line + len + 1, "\n"), line + len + 1);
			return value;
		}
	}
	return "";
}

static const char *
outcome(int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return "killed";
	if (WIFSIGNALED(status))
		return "hung";
	if (WEXITSTATUS(status) == NOT_SEALED)
		return "not sealed";
	return WEXITSTATUS(status) == 0 ? "gained" : "refused";
}

int
__wrap_sandbox_enter(enum sandbox_profile profile,
    const struct sandbox_path *paths, size_t npaths, unsigned int flags,
    struct err *e)
{
	int status;
	size_t i;
	pid_t pid;

	for (i = 0; i < nattacks && known("store")[0] != '\0'; i++) {
		if ((pid = fork()) == -1)
			abort();
		if (pid == 0) {
			signal(SIGALRM, SIG_DFL);
			alarm(SECONDS_MAX);
			if (__real_sandbox_enter(profile, paths, npaths, flags,
				e) == -1)
				_exit(NOT_SEALED);
			_exit(attacks[i].run() == 0 ? 0 : 1);
		}
		if (waitpid(pid, &status, 0) != pid)
			abort();
		fprintf(stderr, "captured %s %s: %s\n",
		    sandbox_profile_name(profile), attacks[i].name,
		    outcome(status));
	}
	return __real_sandbox_enter(profile, paths, npaths, flags, e);
}
