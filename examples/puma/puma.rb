# One process without puma's own cluster: evercrew keeps the processes and the socket.
bind_to_activated_sockets 'only'
workers 0
threads 1, 4
