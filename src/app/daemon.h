/* The running daemon: listeners, loops and the publisher put together, from start to drain. */
#pragma once

/* Serves until SIGTERM or SIGINT; returns the exit code. */
int daemon_run(const char *configuration_path);
