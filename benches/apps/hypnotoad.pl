# The smallest Mojolicious program: /, /pid and /slow?ms=N. Run by hypnotoad; PORT stands for its port.
use Mojolicious::Lite -signatures;

app->config(hypnotoad => {listen => ['http://127.0.0.1:PORT'], workers => 2});
app->log->level('info');

get '/' => sub ($c) { $c->render(text => "hello\n") };
get '/pid' => sub ($c) { $c->render(text => "$$\n") };
get '/slow' => sub ($c) {
  $c->render_later;
  Mojo::IOLoop->timer(($c->param('ms') // 300) / 1000 => sub { $c->render(text => "hello\n") });
};

app->start;
