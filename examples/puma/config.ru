# A minimal Rack application.
run lambda { |_env|
  body = "hello from #{ENV.fetch('EVERCREW_WORKER', 'nobody')}, pid #{Process.pid}\n"
  [200, { 'Content-Type' => 'text/plain', 'Content-Length' => body.bytesize.to_s }, [body]]
}
