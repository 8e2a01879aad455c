# debian/: the packages; "dpkg-buildpackage -us -uc -b" builds them.
EXTRA_DIST += debian/changelog debian/control debian/copyright debian/rules \
	debian/source/format \
	debian/holdfast-admin.install debian/holdfast-client.install \
	debian/holdfast-doc.docs debian/holdfast-server.install \
	debian/holdfast-server.lintian-overrides \
	debian/holdfast-server.postinst debian/holdfast-server.postrm \
	debian/holdfast-server.prerm debian/holdfast-validator.install \
	debian/holdfast-validator.postrm \
	debian/tests/control debian/tests/main-job
