/* SPDX-License-Identifier: MIT */
/* cost_workload.h: what cost_workload.c does, for who counts its instructions */
#ifndef COST_WORKLOAD_H
#define COST_WORKLOAD_H

/* As many as the default of sample_every, so that one of them is timed. */
enum { COST_OPERATIONS = 1024 };

#endif
