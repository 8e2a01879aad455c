#ifndef CLIENT_DOWNLOAD_H
#define CLIENT_DOWNLOAD_H

struct err;
struct h2;
struct index_view;
struct progress;
struct target;

/*
 * The chunks of an image, DOWNLOAD_SLOTS of them on their way at a time;
 * decoded and verified by threads.  The session must not be moved again
 * after a failure.
 */
#define DOWNLOAD_SLOTS 16

int download_image(struct h2 *h, const struct index_view *index,
    struct target *out, struct progress *bar, struct err *e);

#endif
