using RbeMl.Memory;

namespace RbeMl.Tests.Memory;

/// <summary>Linux tells of each mapping whether large pages were asked for.</summary>
public sealed unsafe class LargePagesTests
{
    [Fact]
    public void Large_buffers_ask_for_large_pages()
    {
        const string Maps = "/proc/self/smaps", Support = "/sys/kernel/mm/transparent_hugepage";
        using NativeBuffer<byte> large = new(64 << 20);
        Assert.Equal((64L << 20, 0), (large.AllocatedBytes, large.Span.IndexOfAnyExcept((byte)0) + 1));
        if (File.Exists(Maps) && Directory.Exists(Support)) Assert.True(IsAdvised(large));

        static bool IsAdvised(NativeBuffer<byte> buffer)
        {
            ulong middle = (ulong)(buffer.Pointer + (buffer.Length / 2));
            bool inside = false;
            foreach (string line in File.ReadLines(Maps))
            {
                string[] ends = line.Split(' ', 2)[0].Split('-');
                if (ends.Length == 2 && TryHex(ends[0], out ulong first) && TryHex(ends[1], out ulong end)) inside = first <= middle && middle < end;
                else if (inside && line.StartsWith("VmFlags:", StringComparison.Ordinal)) return line.Split(' ').Contains("hg");
            }

            return false;
        }

        static bool TryHex(string text, out ulong value) =>
            ulong.TryParse(text, System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out value);
    }
}
