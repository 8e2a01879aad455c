#ifndef SERVER_SESSION_PARAMS_H
#define SERVER_SESSION_PARAMS_H

#include "server/params.h"

/* Parameters of the calls of h2_routes.def (wire-protocol 4 and 5). */
extern const struct param_def session_params_archive[];
extern const struct param_def session_params_download[];
extern const struct param_def session_params_blob[];
extern const struct param_def session_params_fixed[];
extern const struct param_def session_params_append[];
extern const struct param_def session_params_chunk[];
extern const struct param_def session_params_dclose[];
extern const struct param_def session_params_fclose[];
extern const struct param_def session_params_digest[];

#endif
