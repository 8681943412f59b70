# One process, no cluster: the engine keeps the processes. Sockets come by LISTEN_FDS and no other is opened.
environment 'production'
rackup File.join(__dir__, 'config.ru')
bind_to_activated_sockets 'only'
workers 0
threads 1, 4
log_requests false
