<?php
// The smallest PHP program: / and /pid. Run by PHP's own server on its own port.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: text/plain');
if ($path === '/pid') {
    echo getmypid(), "\n";
} elseif ($path === '/') {
    echo "hello\n";
} else {
    http_response_code(404);
    echo "not found\n";
}
