using Microsoft.Win32.SafeHandles;

namespace RbeMl.Storage;

/// <summary>Opens files and reads small ones, with errors of this library.</summary>
internal static class FileReading
{
    /// <summary>Opens a file for reading.</summary>
    /// <param name="path">The file.</param>
    /// <param name="wanted">What it should be, e.g. <c>"a safetensors file"</c>.</param>
    /// <param name="mend">What to do where there is none.</param>
    public static SafeFileHandle Open(string path, string wanted, string mend = "Check the name.")
    {
        try
        {
            return File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        }
        catch (FileNotFoundException error)
        {
            throw new RbeFileException(path, $"no such file. {mend}", error);
        }
        catch (DirectoryNotFoundException error)
        {
            throw new RbeFileException(path, $"no such folder. {mend}", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw Directory.Exists(path) ? new RbeFileException(path, $"is a folder, {wanted} is needed. Give a file.", error) : Unreadable(path, error);
        }
    }

    /// <summary>The error for a file that the system does not let us read.</summary>
    public static RbeFileException Unreadable(string path, Exception error) =>
        new(path, $"cannot be read ({IoReason.Of(error)}). Check that it is a plain file you may read.", error);

    /// <summary>All bytes of a file of at most <paramref name="limit"/> bytes.</summary>
    public static byte[] Bytes(string path, string wanted, int limit)
    {
        using SafeFileHandle handle = Open(path, wanted);
        try
        {
            long length = RandomAccess.GetLength(handle);
            if (length > limit)
            {
                throw new RbeFileException(path, $"has {Amount.Of(length, "byte")}; {wanted} has at most {limit}. Check that it is the right file.");
            }

            byte[] bytes = new byte[(int)length];
            int read = 0;
            while (read < bytes.Length && RandomAccess.Read(handle, bytes.AsSpan(read), read) is > 0 and int more) read += more;
            ForeignFile.RequireNoPointer(path, bytes.AsSpan(0, read));
            return read == bytes.Length ? bytes : bytes[..read];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw Unreadable(path, error);
        }
    }
}
