/* What is printed on a terminal, whoever had a hand in it. */
#pragma once

/* From now on what is printed to stdout and stderr, where these are terminals, is as core/shown.h
 * has it. Files and pipes get everything as it is, since programs read them. Called once, before
 * anything is printed. Where the C library does not let streams be replaced it does nothing. */
void terminal_guard(void);
/* Standard output without the guard: for who draws on a screen, of names that were checked. */
void terminal_unguard(void);
