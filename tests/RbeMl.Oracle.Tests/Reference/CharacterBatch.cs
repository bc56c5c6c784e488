using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>Names as token ids: a = 1 .. z = 26, 0 before the first letter of the input and after the last of the target; padding is 0 and -1.</summary>
internal static class CharacterBatch
{
    /// <summary>Inputs and targets [B, T], T being the longest name and one.</summary>
    public static (Tensor Ids, Tensor Targets) Make(string[] names)
    {
        int length = names.Max(name => name.Length) + 1;
        long[] ids = new long[names.Length * length], targets = new long[names.Length * length];
        Array.Fill(targets, -1);
        for (int n = 0; n < names.Length; n++)
        {
            for (int t = 0; t <= names[n].Length; t++)
            {
                ids[n * length + t] = t == 0 ? 0 : names[n][t - 1] - 'a' + 1;
                targets[n * length + t] = t == names[n].Length ? 0 : names[n][t] - 'a' + 1;
            }
        }

        return (tensor(ids).reshape(names.Length, length), tensor(targets).reshape(names.Length, length));
    }
}
