//! Currencies.

use std::fmt;

use serde::{Serialize, Serializer};

/// The alphabetic code of a currency (ISO 4217): three letters, upper case.
///
/// A new order requires a currency in force. A stored order keeps its currency even after that has been withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency in force with this code, if any. Codes are upper case.
    #[must_use]
    pub fn in_force(code: &str) -> Option<Self> {
        IN_FORCE.binary_search(&code).ok()?;
        code.as_bytes().try_into().ok().map(Self)
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always three ASCII letters.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The currencies that a new order accepts, sorted.
///
/// Source: ISO 4217 List One, maintained by SIX Group for ISO, after amendment 180 of 2025, which withdrew BGN as of
/// 2026-01-01. The table contains only the currencies of that list with which a customer can pay:
///
/// - excluded are fund codes, which are units of account (BOV CHE CHW CLF COU MXV USN UYI UYW), and the X codes for
///   reserve and accounting units (XAD XDR XSU XUA), bond market units (XBA XBB XBC XBD), metals (XAG XAU XPD XPT),
///   testing (XTS) and no currency (XXX);
/// - included are the X codes of currency unions: XAF XCD XCG XOF XPF.
const IN_FORCE: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", //
    "BAM", "BBD", "BDT", "BHD", "BIF", "BMD", "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", //
    "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP", "CVE", "CZK", //
    "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", //
    "GBP", "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", //
    "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", //
    "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", //
    "LAK", "LBP", "LKR", "LRD", "LSL", "LYD", //
    "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", //
    "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", //
    "QAR", "RON", "RSD", "RUB", "RWF", //
    "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL",
    "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", //
    "VED", "VES", "VND", "VUV", "WST", "XAF", "XCD", "XCG", "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG",
];

#[cfg(test)]
mod tests {
    use super::{Currency, IN_FORCE};

    #[test]
    fn the_table_is_sorted_and_well_formed() {
        assert!(IN_FORCE.is_sorted_by(|one, next| one < next));
        for code in IN_FORCE {
            assert_eq!(Currency::in_force(code).unwrap().as_str(), *code);
        }
        assert_eq!(IN_FORCE.len(), 155);
    }

    #[test]
    fn withdrawn_codes_and_codes_for_no_currency_are_not_in_force() {
        for code in [
            "ANG", "BGN", "CUC", "DEM", "HRK", "SLL", "STD", "MRO", "VEF", "ZWL", "BYR", "XAU", "XDR", "XTS",
            "XXX", "XAD", "CLF", "CHE", "USN", "usd", "US", "USDX", "", "ÅÅ",
        ] {
            assert_eq!(Currency::in_force(code), None, "{code}");
        }
    }
}
