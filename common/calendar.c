/*
 * Calendar events.  The validator reads them from its configuration, which the
 * operator wrote: trusted, but not to be right.
 *
 * Wall-clock time is computed with as seconds "as if in UTC", so that
 * timegm() and gmtime_r() do all calendar arithmetic; the time zone comes in
 * where such a value is turned into a moment.
 */
#include "config.h"

#include "common/calendar.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/err.h"
#include "common/str.h"

#define TEXT_MAX 200
#define DAY_SECONDS 86400
#define EVERY_HOUR ((UINT64_C(1) << 24) - 1)

static const struct {
	const char *word;
	const char *event;
} words[] = {
    {"minutely", "*:*"},
    {"hourly", "*:00"},
    {"daily", "00:00"},
    {"weekly", "mon 00:00"},
    {"monthly", "*-*-01"},
    {"quarterly", "*-01,04,07,10-01"},
    {"semiannually", "*-01,07-01"},
    {"semi-annually", "*-01,07-01"},
    {"yearly", "*-01-01"},
    {"annually", "*-01-01"},
};

static const char *const weekday_names[] = {"sunday", "monday", "tuesday",
    "wednesday", "thursday", "friday", "saturday"};

/* One part of an event: what its values are called, and their limits. */
struct part {
	const char *what;
	unsigned int min;
	unsigned int max;
};

static const struct part part_year = {"year", CALENDAR_YEAR_MIN,
    CALENDAR_YEAR_MIN + CALENDAR_YEARS - 1};
static const struct part part_month = {"month", 1, 12};
static const struct part part_day = {"day", 1, 31};
/* Counted from Monday to Sunday, so that "mon..sun" goes up. */
static const struct part part_weekday = {"day of the week", 1, 7};
static const struct part part_hour = {"hour", 0, 23};
static const struct part part_minute = {"minute", 0, 59};
static const struct part part_second = {"second", 0, 59};

static int
parse_weekday(const char *s, size_t len, unsigned int *out)
{
	unsigned int i;

	for (i = 0; i < 7; i++)
		if ((len == 3 || len == strlen(weekday_names[i])) &&
		    strncasecmp(s, weekday_names[i], len) == 0) {
			*out = i == 0 ? 7 : i;
			return 0;
		}
	return -1;
}

static int
parse_value(const struct part *p, const char *s, unsigned int *out,
    struct err *e)
{
	uint64_t v = 0;
	size_t len = strlen(s), skip = 0;

	if (p == &part_weekday) {
		if (parse_weekday(s, len, out) == 0)
			return 0;
	} else {
		/* "02:05": at most one zero in front. */
		if (len == 2 && s[0] == '0')
			skip = 1;
		if (str_to_u64(s + skip, p->min, p->max, &v) == 0) {
			*out = (unsigned int)v;
			return 0;
		}
	}
	return err_set(e, ERR_PARAM, "'%s' is not valid as %s", STR_VIS(s),
	    p->what);
}

static void
add_value(const struct part *p, unsigned int v, uint64_t *bits)
{
	unsigned int n = v;

	if (p == &part_year)
		n = v - CALENDAR_YEAR_MIN;
	else if (p == &part_weekday)
		n = v % 7;
	bits[n / 64] |= UINT64_C(1) << (n % 64);
}

/* "*", "5", "1..7", each with "/2" behind it; changes s. */
static int
parse_item(const struct part *p, char *s, uint64_t *bits, struct err *e)
{
	char *repeat = strchr(s, '/'), *end;
	unsigned int first = p->min, last = p->max;
	uint64_t v, step = 1;

	if (repeat != NULL) {
		*repeat++ = '\0';
		if (str_to_u64(repeat, 1, p->max - p->min + 1, &step) == -1)
			return err_set(e, ERR_PARAM,
			    "'/%s' is not valid as repetition of %s",
			    STR_VIS(repeat), p->what);
	}
	if (strcmp(s, "*") != 0) {
		end = strstr(s, "..");
		if (end != NULL)
			*end = '\0';
		if (parse_value(p, s, &first, e) == -1)
			return -1;
		if (end != NULL) {
			if (parse_value(p, end + 2, &last, e) == -1)
				return -1;
		} else if (repeat == NULL) {
			last = first;
		}
		/* "fri..mon" goes through the end of the week. */
		if (p == &part_weekday && first > last)
			last += 7;
		if (first > last)
			return err_set(e, ERR_PARAM, "'%s..%s' runs backwards",
			    s, end + 2);
	}
	for (v = first; v <= last; v += step)
		add_value(p, (unsigned int)v, bits);
	return 0;
}

static int
parse_list(const struct part *p, char *s, uint64_t *bits, struct err *e)
{
	char *item;

	while ((item = strsep(&s, ",")) != NULL)
		if (parse_item(p, item, bits, e) == -1)
			return -1;
	return 0;
}

/* Splits "a:b:c" into at most three; their number, or -1 if there are more. */
static int
split(char *s, const char *sep, char *v[3])
{
	int n = 0;

	while (s != NULL) {
		if (n == 3)
			return -1;
		v[n++] = strsep(&s, sep);
	}
	return n;
}

static int
parse_date(char *token, struct calendar *c, struct err *e)
{
	char *v[3];
	int n;
	char seen[TEXT_MAX + 1];

	snprintf(seen, sizeof(seen), "%s", token);
	n = split(token, "-", v);
	if (n != 2 && n != 3)
		return err_set(e, ERR_PARAM, "'%s' is not a date",
		    STR_VIS(seen));
	if (n == 2)
		memset(c->years, 0xff, sizeof(c->years));
	else if (parse_list(&part_year, v[0], c->years, e) == -1)
		return -1;
	if (parse_list(&part_month, v[n - 2], &c->months, e) == -1)
		return -1;
	return parse_list(&part_day, v[n - 1], &c->days, e);
}

static int
parse_time(char *token, struct calendar *c, struct err *e)
{
	char *v[3];
	char seen[TEXT_MAX + 1];
	int n;

	snprintf(seen, sizeof(seen), "%s", token);
	n = split(token, ":", v);
	if (n == -1)
		return err_set(e, ERR_PARAM, "'%s' is not a time of day",
		    STR_VIS(seen));
	if (n == 1) {
		c->hours = EVERY_HOUR;
		c->seconds = 1;
		return parse_list(&part_minute, v[0], &c->minutes, e);
	}
	if (parse_list(&part_hour, v[0], &c->hours, e) == -1 ||
	    parse_list(&part_minute, v[1], &c->minutes, e) == -1)
		return -1;
	if (n == 2) {
		c->seconds = 1;
		return 0;
	}
	return parse_list(&part_second, v[2], &c->seconds, e);
}

static int
parse_weekdays(char *token, struct calendar *c, struct err *e)
{
	return parse_list(&part_weekday, token, &c->weekdays, e);
}

static int
parse_utc(char *token, struct calendar *c, struct err *e)
{
	(void)token;
	(void)e;
	c->utc = 1;
	return 0;
}

/* The kinds of token, in the only order in which they may stand. */
enum token_kind {
	TOKEN_WEEKDAYS,
	TOKEN_DATE,
	TOKEN_TIME,
	TOKEN_UTC,
	TOKEN_COUNT
};

static int (*const token_parsers[])(char *, struct calendar *, struct err *) = {
    [TOKEN_WEEKDAYS] = parse_weekdays,
    [TOKEN_DATE] = parse_date,
    [TOKEN_TIME] = parse_time,
    [TOKEN_UTC] = parse_utc,
};

static enum token_kind
kind_of(const char *token)
{
	if (strcasecmp(token, "utc") == 0)
		return TOKEN_UTC;
	if (isalpha((unsigned char)token[0]))
		return TOKEN_WEEKDAYS;
	if (strchr(token, ':') != NULL)
		return TOKEN_TIME;
	return strchr(token, '-') != NULL ? TOKEN_DATE : TOKEN_TIME;
}

static int
parse_tokens(char *text, struct calendar *c, struct err *e)
{
	char *token, *save = NULL;
	char seen[TEXT_MAX + 1];
	int kind, next = TOKEN_WEEKDAYS, any = 0;

	for (token = strtok_r(text, " \t", &save); token != NULL;
	     token = strtok_r(NULL, " \t", &save)) {
		kind = (int)kind_of(token);
		snprintf(seen, sizeof(seen), "%s", token);
		if (kind < next)
			return err_set(e, ERR_PARAM, "unexpected '%s'",
			    STR_VIS(seen));
		if (token_parsers[kind](token, c, e) == -1)
			return -1;
		next = kind + 1;
		any |= kind != TOKEN_UTC;
	}
	if (!any)
		return err_set(e, ERR_PARAM, "is empty");
	return 0;
}

/* What was not said is every day, at midnight. */
static void
fill_in(struct calendar *c)
{
	if (c->weekdays == 0)
		c->weekdays = 0x7f;
	if (c->days == 0) {
		memset(c->years, 0xff, sizeof(c->years));
		c->months = c->days = UINT64_MAX;
	}
	if (c->minutes == 0)
		c->hours = c->minutes = c->seconds = 1;
}

static int
has(const uint64_t *bits, int n)
{
	return (bits[n / 64] >> (n % 64)) & 1;
}

/*
 * Moves tm to the start of the next year, month, day, hour, minute or second
 * where the first part that does not fit may fit.  0 if all parts fit.
 */
static int
step(const struct calendar *c, struct tm *tm)
{
	int year = tm->tm_year + 1900 - CALENDAR_YEAR_MIN;

	if (!has(c->years, year)) {
		tm->tm_year++;
		tm->tm_mon = 0;
		tm->tm_mday = 1;
		tm->tm_hour = tm->tm_min = tm->tm_sec = 0;
	} else if (!has(&c->months, tm->tm_mon + 1)) {
		tm->tm_mon++;
		tm->tm_mday = 1;
		tm->tm_hour = tm->tm_min = tm->tm_sec = 0;
	} else if (!has(&c->days, tm->tm_mday) ||
	    !has(&c->weekdays, tm->tm_wday)) {
		tm->tm_mday++;
		tm->tm_hour = tm->tm_min = tm->tm_sec = 0;
	} else if (!has(&c->hours, tm->tm_hour)) {
		tm->tm_hour++;
		tm->tm_min = tm->tm_sec = 0;
	} else if (!has(&c->minutes, tm->tm_min)) {
		tm->tm_min++;
		tm->tm_sec = 0;
	} else if (!has(&c->seconds, tm->tm_sec)) {
		tm->tm_sec++;
	} else {
		return 0;
	}
	return 1;
}

/* The first fitting wall-clock time that is not before wall; -1: none. */
static time_t
next_wall(const struct calendar *c, time_t wall)
{
	struct tm tm;

	if (wall < 0)
		wall = 0;
	for (;;) {
		if (gmtime_r(&wall, &tm) == NULL ||
		    tm.tm_year + 1900 >= CALENDAR_YEAR_MIN + CALENDAR_YEARS)
			return -1;
		if (!step(c, &tm))
			return wall;
		wall = timegm(&tm);
	}
}

int
calendar_parse(const char *text, struct calendar *c_out, struct err *e)
{
	struct calendar c;
	char copy[TEXT_MAX + 1];
	size_t i;

	if (strlen(text) > TEXT_MAX)
		return err_set(e, ERR_PARAM, "calendar event is too long");
	snprintf(copy, sizeof(copy), "%s", text);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i].word) == 0)
			snprintf(copy, sizeof(copy), "%s", words[i].event);
	memset(&c, 0, sizeof(c));
	if (parse_tokens(copy, &c, e) == -1)
		return err_wrap(e, "calendar event '%s'", STR_VIS(text));
	fill_in(&c);
	if (next_wall(&c, 0) == -1)
		return err_set(e, ERR_PARAM,
		    "calendar event '%s' never happens", STR_VIS(text));
	*c_out = c;
	return 0;
}

/* Seconds that the wall clock is ahead of UTC at t. */
static time_t
offset_at(const struct calendar *c, time_t t)
{
	struct tm tm;

	if (c->utc || localtime_r(&t, &tm) == NULL)
		return 0;
	return tm.tm_gmtoff;
}

/* The first moment after lo, and up to hi, with another offset than lo's; hi's
 * must be another. */
static time_t
change_between(const struct calendar *c, time_t lo, time_t hi)
{
	time_t mid, offset = offset_at(c, lo);

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (offset_at(c, mid) == offset)
			lo = mid;
		else
			hi = mid;
	}
	return hi;
}

/* The moment at which clocks show wall: the first if there are two, the end of
 * the gap if there is none. */
static time_t
moment_of(const struct calendar *c, time_t wall)
{
	time_t before = offset_at(c, wall - DAY_SECONDS);
	time_t after = offset_at(c, wall + DAY_SECONDS);

	if (offset_at(c, wall - before) == before)
		return wall - before;
	if (offset_at(c, wall - after) == after)
		return wall - after;
	return change_between(c, wall - after, wall - before);
}

static time_t
next_of_day(const struct calendar *c, time_t t)
{
	time_t wall = t + offset_at(c, t), moment;

	do {
		wall = next_wall(c, wall + 1);
		if (wall == -1)
			return -1;
		moment = moment_of(c, wall);
	} while (moment <= t);
	return moment;
}

/* From one change of the clocks to the next, time and clocks run alike. */
static time_t
next_of_every_hour(const struct calendar *c, time_t t)
{
	time_t from = t + 1, offset, wall, moment;

	for (;;) {
		offset = offset_at(c, from);
		wall = next_wall(c, from + offset);
		if (wall == -1)
			return -1;
		moment = wall - offset;
		if (offset_at(c, moment) == offset)
			return moment;
		from = change_between(c, from, moment);
	}
}

time_t
calendar_next(const struct calendar *c, time_t t)
{
	if (t < 0)
		t = 0;
	return c->hours == EVERY_HOUR ? next_of_every_hour(c, t)
				      : next_of_day(c, t);
}
