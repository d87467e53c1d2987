/* SPDX-License-Identifier: MIT */
/*
 * The echo server of Boost.Asio with a stackful coroutine a connection
 * (Boost.Coroutine under spawn()), with its buffer on its stack.
 */
#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/coroutine/attributes.hpp>

#include "echo.h"

namespace asio = boost::asio;
using asio::ip::tcp;

static constexpr std::size_t STACK = 4 * ECHO_BUFFER;

static void serve(tcp::socket &socket, asio::yield_context yield)
{
	boost::system::error_code error;
	char buf[ECHO_BUFFER];

	for (;;) {
		std::size_t n = socket.async_read_some(asio::buffer(buf),
						       yield[error]);
		if (error)
			return;
		asio::async_write(socket, asio::buffer(buf, n), yield[error]);
		if (error)
			return;
	}
}

static void accept_all(asio::io_context &io, tcp::acceptor &acceptor,
		       asio::yield_context yield)
{
	for (;;) {
		boost::system::error_code error;
		tcp::socket socket(io);

		acceptor.async_accept(socket, yield[error]);
		if (error)
			continue;
		socket.set_option(tcp::no_delay(true));
		asio::spawn(
			io,
			[s = std::move(socket)](asio::yield_context y) mutable {
				serve(s, y);
			},
			boost::coroutines::attributes(STACK));
	}
}

int main()
{
	asio::io_context io(1);

	echo_begin();
	tcp::acceptor acceptor(io, tcp::v4(), echo_listen());
	asio::spawn(io, [&](asio::yield_context yield) {
		accept_all(io, acceptor, yield);
	});
	io.run();
}
