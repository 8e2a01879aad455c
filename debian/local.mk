# debian/: the packages; "dpkg-buildpackage -us -uc -b" builds them.
EXTRA_DIST += debian/changelog debian/control debian/copyright debian/rules \
	debian/source/format debian/po/POTFILES.in debian/po/templates.pot \
	debian/holdfast-admin.install debian/holdfast-client.install \
	debian/holdfast-doc.docs debian/holdfast-doc.install \
	debian/holdfast-doc.links debian/holdfast-server.config \
	debian/holdfast-server.install \
	debian/holdfast-server.lintian-overrides \
	debian/holdfast-server.postinst debian/holdfast-server.postrm \
	debian/holdfast-server.prerm debian/holdfast-server.templates \
	debian/holdfast-validator.config debian/holdfast-validator.install \
	debian/holdfast-validator.postinst debian/holdfast-validator.postrm \
	debian/holdfast-validator.templates \
	debian/tests/common.sh debian/tests/control debian/tests/main-job \
	debian/tests/upgrade
