/* SPDX-License-Identifier: MIT */
/* The hypervisor's own command line. Pure functions. */
#ifndef BOOT_OPTIONS_H
#define BOOT_OPTIONS_H

#include "boot/boot.h"

/* Told of a word that was not understood, and why. */
typedef void (*option_complaint)(const char *word, const char *why);

/*
 * Sets *options from the words of the command line; what no word names gets its
 * default. A first word that is the image's file name is skipped. complain may
 * be NULL.
 */
void options_parse(const char *command_line, struct boot_options *options,
                   option_complaint complain);

#endif
