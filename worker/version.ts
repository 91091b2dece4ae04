/** The server's version, as capabilities tell it. A test keeps it equal to package.json's. */
export const SERVER_VERSION = "0.4.0";
