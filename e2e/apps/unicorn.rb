# A master and one worker. unicorn takes sockets by LISTEN_FDS itself and then opens no other.
worker_processes 1
