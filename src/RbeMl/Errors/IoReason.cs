using System.Security;
using System.Text.RegularExpressions;

namespace RbeMl;

/// <summary>Why the system refused to read or write, in words that go into a message about a file.</summary>
internal static partial class IoReason
{
    /// <summary>Whether an error is one of the system about a file.</summary>
    public static bool Is(Exception error) => error is IOException or UnauthorizedAccessException or SecurityException or NotSupportedException;

    /// <summary>
    /// The reason without a full stop and without the name of the file: the message names the one that the caller knows, where the system
    /// may have had another, temporary one.
    /// </summary>
    public static string Of(Exception error) => error switch
    {
        DirectoryNotFoundException => "the folder does not exist",
        UnauthorizedAccessException => "access denied",
        _ => Named().Replace(error.Message, "").TrimEnd('.', ' '),
    };

    // "No space left on device : '/x/y'", "The file '/x/y' already exists."
    [GeneratedRegex(" ?:? '.*'", RegexOptions.Singleline | RegexOptions.CultureInvariant)]
    private static partial Regex Named();
}
