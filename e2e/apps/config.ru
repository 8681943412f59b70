# The smallest Rack program: /, /pid and /slow?ms=N. Run by puma or unicorn on an inherited socket.
app = lambda do |env|
  status, body = 200, "hello\n"
  case env['PATH_INFO']
  when '/' then nil
  when '/pid' then body = "#{Process.pid}\n"
  when '/slow' then sleep([(env['QUERY_STRING'][/(?:\A|&)ms=(\d+)/, 1] || '300').to_i, 60_000].min / 1000.0)
  else status, body = 404, "not found\n"
  end
  [status, { 'Content-Type' => 'text/plain', 'Content-Length' => body.bytesize.to_s }, [body]]
end
run app
