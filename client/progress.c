/*
 * The progress bar of holdfast.
 */
#include "config.h"

#include "client/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/table.h"

#define REDRAW_MS 150
#define BAR_WIDTH 24

char *
progress_time_str(char dst[PROGRESS_TIME_MAX], uint64_t seconds)
{
	unsigned long long h = seconds / 3600, m = seconds / 60 % 60,
			   s = seconds % 60;

	if (h > 0)
		snprintf(dst, PROGRESS_TIME_MAX, "%llu:%02llu:%02llu", h, m, s);
	else
		snprintf(dst, PROGRESS_TIME_MAX, "%llu:%02llu", m, s);
	return dst;
}

void
progress_start(struct progress *p, const char *what, uint64_t total,
    int enabled)
{
	memset(p, 0, sizeof(*p));
	p->what = what;
	p->total = total > 0 ? total : 1;
	p->enabled = enabled && isatty(STDERR_FILENO);
	p->started_ms = io_monotonic_ms();
}

static void
draw(struct progress *p, uint64_t now, uint64_t done, const char *note)
{
	char bar[BAR_WIDTH + 1], size[TABLE_SIZE_MAX], rate[TABLE_SIZE_MAX];
	char left[PROGRESS_TIME_MAX];
	double part = (double)done / (double)p->total;
	uint64_t ms = now - p->started_ms + 1, speed = done * 1000 / ms, eta;
	size_t full = (size_t)(part * BAR_WIDTH);

	if (full > BAR_WIDTH)
		full = BAR_WIDTH;
	memset(bar, '-', BAR_WIDTH);
	memset(bar, '#', full);
	bar[BAR_WIDTH] = '\0';
	eta = done > 0 ? (uint64_t)((double)ms * (1 - part) / part / 1000) : 0;
	fprintf(stderr, "\r\033[K%s [%s] %3d%% %s %s/s %s%s%s", p->what, bar,
	    (int)(part * 100), table_size_str(size, done),
	    table_size_str(rate, speed),
	    progress_time_str(left, done < p->total ? eta : ms / 1000),
	    note != NULL ? " " : "", note != NULL ? note : "");
	fflush(stderr);
	p->drawn_ms = now;
	p->drawn = 1;
}

void
progress_update(struct progress *p, uint64_t done, const char *note)
{
	uint64_t now;

	if (!p->enabled)
		return;
	now = io_monotonic_ms();
	if (now - p->drawn_ms >= REDRAW_MS)
		draw(p, now, done, note);
}

void
progress_end(struct progress *p, uint64_t done, const char *note)
{
	if (!p->enabled)
		return;
	draw(p, io_monotonic_ms(), done, note);
	progress_break(p);
}

void
progress_break(struct progress *p)
{
	if (p->drawn)
		fputc('\n', stderr);
	p->drawn = 0;
}
