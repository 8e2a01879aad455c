#ifndef COMMON_CALENDAR_H
#define COMMON_CALENDAR_H

#include <stdint.h>
#include <time.h>

struct err;

/*
 * Calendar events, as users of systemd and Proxmox Backup write them:
 *
 *   [WEEKDAYS] [[YEARS-]MONTHS-DAYS] [HOURS:MINUTES[:SECONDS]] [UTC]
 *
 * A part is a list "1,15" of values, ranges "mon..fri" and repetitions "0/15"
 * (from 0 every 15), "8..17/2" or "*", which is every value.  Without a date it
 * is every day, without a time 00:00, without seconds second 0; MINUTES alone
 * ("30/10") is in every hour.  One word stands for a whole event: minutely,
 * hourly, daily, weekly, monthly, quarterly, semiannually, yearly, annually.
 *
 * When the clocks change, an event that names its hours happens once a day: at
 * the first of two equal times, and at the end of the gap if its time is left
 * out.  One of every hour follows the time that passes.
 */
#define CALENDAR_YEAR_MIN 1970
#define CALENDAR_YEARS 256

struct calendar {
	uint64_t years[CALENDAR_YEARS / 64]; /* bit 0: CALENDAR_YEAR_MIN */
	uint64_t months;                     /* bit 1: January */
	uint64_t days;                       /* bit 1: the first */
	uint64_t weekdays;                   /* bit 0: Sunday */
	uint64_t hours;
	uint64_t minutes;
	uint64_t seconds;
	int utc; /* else local time */
};

/* 0, or -1 with an error that names the token.  An event that can never happen
 * ("02-30") is an error, too. */
int calendar_parse(const char *text, struct calendar *c_out, struct err *e);
/* The first moment after t, or -1 if there is none.  Uses the time zone that
 * tzset() has read. */
time_t calendar_next(const struct calendar *c, time_t t);

#endif
