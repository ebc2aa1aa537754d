from colorize_daemon.resources import share_processors

share_processors()  # before any module here imports numpy
